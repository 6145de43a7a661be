"""A composer of band music: styles as data, and a seed that becomes a song."""
