"""What a release says about itself: pure functions of its facts, and the templates that they fill."""
