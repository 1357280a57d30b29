"""Training: the loop, its callbacks, devices and processes, and the state that is saved."""
