"""What is known of corpora: where recordings lie, what they are called, who speaks. sslspk.io knows formats alone."""
