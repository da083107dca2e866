"""Seeded bugs, and the command that shows that the suite catches each of them.

    python -m tests.teeth -n 2

Each ``NNN-name.patch`` beside this file is a mistake that somebody may well make, as a unified diff against
the product. Its header says in plain words what the bug is, what it costs a user, and which tests are
expected to bite. The command copies the tree, shows that those tests pass, applies one patch to a fresh
copy, and expects one of them to say no.
"""
