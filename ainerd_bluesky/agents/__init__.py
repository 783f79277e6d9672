"""Agents: what a selector chooses goes to a queue server, or to other frameworks."""

from ainerd_bluesky.agents.campaign import CampaignConfig, load_campaign
from ainerd_bluesky.agents.items import PlanTemplate
from ainerd_bluesky.agents.journal import Journal, load_journal, new_journal
from ainerd_bluesky.agents.locking import lock_folder
from ainerd_bluesky.agents.loop import Pace, run_agent
from ainerd_bluesky.agents.optimizer import SelectorOptimizer
from ainerd_bluesky.agents.protocols import Queue, QueueView, Report, Results
from ainerd_bluesky.agents.queue_agent import QueueAgent
from ainerd_bluesky.agents.rules import AgentRules, Proposal

__all__ = [
    "AgentRules",
    "CampaignConfig",
    "Journal",
    "Pace",
    "PlanTemplate",
    "Proposal",
    "Queue",
    "QueueAgent",
    "QueueView",
    "Report",
    "Results",
    "SelectorOptimizer",
    "load_campaign",
    "load_journal",
    "lock_folder",
    "new_journal",
    "run_agent",
]
