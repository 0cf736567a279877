"""What runs beside the election only where a setting asks for it."""
