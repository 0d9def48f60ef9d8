"""Operator actions, one function each: what the command line, the dashboard and the admin API all call.

Owns checking an operator's input and recording every change in the transaction that makes it. Must not know HTTP,
HTML or a terminal, and must not reach into the protocol endpoints.
"""
