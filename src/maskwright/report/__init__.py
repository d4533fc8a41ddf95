"""Numbers to pictures and one self-contained HTML page. Knows no network, neither the one that learns nor the other."""
