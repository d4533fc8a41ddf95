"""The vocabulary: classes, records, fingerprint, plan, errors, seeds, machine. Knows no torch and no file format."""
