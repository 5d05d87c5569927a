"""What pages of admin and console show alike: states and times, and what others sent us."""
