"""Contracts of programme and project registers (项目管理): who answers for which project."""
