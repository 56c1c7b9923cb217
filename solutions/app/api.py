"""The one router that holds every versioned route; each feature adds its own router here."""

from fastapi import APIRouter

from app.auth.router import router as auth_router
from app.items.router import own_router as own_items_router
from app.items.router import router as items_router
from app.users.router import router as users_router

api_router = APIRouter()

api_router.include_router(users_router)

api_router.include_router(auth_router)

api_router.include_router(items_router)

api_router.include_router(own_items_router)
