"""The convolution laboratory: what the kinds of convolution read, cost and see, on a picture at hand."""
