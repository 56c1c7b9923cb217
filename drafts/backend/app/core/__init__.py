"""What every feature shares: settings, errors, security, pagination."""
