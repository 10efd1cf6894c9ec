"""What users do with a trained model: sslspk.load, and the code that the command line and the extraction programs share with it."""
