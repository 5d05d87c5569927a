"""What is fetched by cursor: the list, and one pull with what comes next."""
