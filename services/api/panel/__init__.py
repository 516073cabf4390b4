from services.api.panel.router import panel_router

__all__ = ["panel_router"]
