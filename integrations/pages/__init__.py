"""What pages of admin and console show alike: states and times, what others sent us, links
to an admin that a project may not have."""
