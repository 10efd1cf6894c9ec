"""A trained model as a user has it: sslspk.load, and what the command line and the extracting programs share with it."""
