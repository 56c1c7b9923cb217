"""The one router that holds every versioned route; each feature adds its own router here."""

from fastapi import APIRouter

api_router = APIRouter()
