"""The dashboard: pages for those who run a project, without scripts."""
