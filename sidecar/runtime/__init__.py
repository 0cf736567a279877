"""One election at run time: its loops, the leadership that HTTP serves, its status and history."""
