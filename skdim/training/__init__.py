"""Training: batches, the skorch net, callbacks, devices and state."""
