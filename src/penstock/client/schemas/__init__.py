"""What the client takes and gives: records, filters, orders, answers, each in its own module."""
