"""
Pure data and rules: no file, no thread, no clock but the one handed in.
"""
