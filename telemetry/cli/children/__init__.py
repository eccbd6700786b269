"""
A command as a child process: everything passes through, and a little is remembered.
"""
