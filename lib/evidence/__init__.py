"""Evidence: the claims ledger, statistics, verdicts, tables, figures, provenance and the drift report."""
