"""Music as notes: read, composed, performed and rendered."""
