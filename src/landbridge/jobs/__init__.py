"""Durable state: dataflows, jobs and what is kept about them; what ran, and what runs next."""
