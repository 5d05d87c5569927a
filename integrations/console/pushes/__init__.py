"""Orders handed to an ERP: the list, and one push with what the ERP answered."""
