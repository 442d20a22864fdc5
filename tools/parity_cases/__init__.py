"""The extended parity fixtures as people wrote them: what comes, what goes, and why."""
