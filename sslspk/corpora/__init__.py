"""The layouts of corpora: where recordings are, how they are named, who speaks. Formats of files are in sslspk.io."""
