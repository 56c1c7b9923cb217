"""Mass assignment: fields that a request brings, though nobody asked for them."""

from app.attacks.shop import Shop


async def assigned(shop: Shop) -> list[str]:
    """Return each door and field that was taken; none, on a right app."""
    admin, other = await shop.admin(), await shop.newcomer()
    found = []
    for field, value in (("role", "admin"), ("is_active", False)):
        signed_up, patched = await shop.newcomer(**{field: value}), await shop.newcomer()
        await shop.ask("PATCH", "/users/me", by=patched, json={field: value})
        for door, one in (("POST /auth/register", signed_up), ("PATCH /users/me", patched)):
            user = (await shop.ask("GET", f"/users/{one.id}", by=admin)).json()
            if user.get(field) == value:
                found.append(f"{door} {field}")
                await shop.ask("PATCH", f"/users/{one.id}", by=admin, json={"role": "user"})
    owner = await shop.newcomer()
    made, changed = await shop.pen(owner, owner_id=other.id), await shop.pen(owner)
    await shop.ask("PATCH", f"/items/{changed}", by=owner, json={"owner_id": other.id})
    for door, pen in (("POST /items", made), ("PATCH /items/{item_id}", changed)):
        item = (await shop.ask("GET", f"/items/{pen}", by=admin)).json()
        if item.get("owner_id") == other.id:
            found.append(f"{door} owner_id")
    return sorted(found)
