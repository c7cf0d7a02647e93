"""Contracts of the audit office (审计): findings and their rectification."""
