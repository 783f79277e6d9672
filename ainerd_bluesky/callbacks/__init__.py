"""Callbacks for the RunEngine: write runs, queue them, follow them to their labels."""
