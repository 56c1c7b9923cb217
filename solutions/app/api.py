"""The one router that holds every versioned route; each feature adds its own router here."""

from fastapi import APIRouter

from app.users.router import router as users_router

api_router = APIRouter()

api_router.include_router(users_router)
