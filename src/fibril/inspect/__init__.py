"""What tools see of a program: from inside as a tree, from outside in its memory."""
