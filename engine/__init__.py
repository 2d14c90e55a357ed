"""quillian: an embedded graph/vector database engine.

Open a directory, add concepts with texts and vectors, associate them, and ask.
"""
