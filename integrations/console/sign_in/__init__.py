"""Sign in to the console and out of it, with Django's own accounts."""
