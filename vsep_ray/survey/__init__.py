"""What a data set holds, how it sounds, and what is wrong with it."""
