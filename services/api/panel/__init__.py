from services.api.panel.router import panel_router, routes

__all__ = ["panel_router", "routes"]
