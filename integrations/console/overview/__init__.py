"""What happens now, at one look."""
