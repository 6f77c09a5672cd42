"""What solves it: sampling, rendering, encodings, networks, and the methods that train them."""
