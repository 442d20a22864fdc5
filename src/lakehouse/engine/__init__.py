"""The loop: generate, extract, check, report findings, try again. No I/O except through ports."""
