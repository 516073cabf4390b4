from services.api.panel.errors import HANDLERS
from services.api.panel.router import panel_router

__all__ = ["HANDLERS", "panel_router"]
