"""Systems that the whole installation uses: a switch and a configuration in front of a connector."""
