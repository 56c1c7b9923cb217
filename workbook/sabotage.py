"""What the checks of chapter 15 take: faults, copies of the app that have one, and the exam that must find them."""

from __future__ import annotations

from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import Client
from workbook.practice.edits import EDITS
from workbook.practice.faults import TOPICS
from workbook.practice.replica import Instrument, Original, changed, replica
from workbook.practice.sabotage import edited

__all__ = ["EDITS", "TOPICS", "Client", "Exam", "Instrument", "Original", "changed", "edited", "replica", "run"]
