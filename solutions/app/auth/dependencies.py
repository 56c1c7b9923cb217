"""Who is asking: from the Authorization header to the current user."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.auth.exceptions import InactiveUser, InvalidAccessToken
from app.auth.limits import LimitedAuthService
from app.auth.service import AuthService
from app.auth.tokens import TokenIssuer
from app.core.rate_limit import Tries, is_trusted
from app.core.security import InvalidToken, TokenType
from app.db.session import SessionDep
from app.users.crud import user_crud
from app.users.models import User

oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login")


def get_token_issuer(request: Request) -> TokenIssuer:
    """Build the issuer from this app's settings."""
    return TokenIssuer(request.app.state.settings)


TokenIssuerDep = Annotated[TokenIssuer, Depends(get_token_issuer)]


def client_address(request: Request) -> str:
    """Return where a request comes from; a header counts when the settings name the proxy."""
    address = request.client.host if request.client else ""
    header = ",".join(request.headers.getlist("X-Forwarded-For"))
    hops = [hop.strip() for hop in header.split(",") if hop.strip()]
    for hop in reversed(hops):
        if not is_trusted(address, request.app.state.settings):
            break
        address = hop
    return address


def get_tries(request: Request) -> Tries:
    """Count for the client of this request."""
    state = request.app.state
    return Tries(state.limiter, state.settings, client_address(request))


TriesDep = Annotated[Tries, Depends(get_tries)]


def get_auth_service(session: SessionDep, tokens: TokenIssuerDep, tries: TriesDep) -> AuthService:
    """Build the service for one request."""
    return LimitedAuthService(session, tokens, tries)


AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]


async def get_current_user(
    token: Annotated[str, Depends(oauth2_scheme)], tokens: TokenIssuerDep, session: SessionDep
) -> User:
    """Return the user whose access token came with the request, or answer 401."""
    try:
        claims = tokens.read(token, TokenType.ACCESS)
    except InvalidToken as error:
        raise InvalidAccessToken from error
    user = await user_crud.get(session, claims.sub)
    if user is None:
        raise InvalidAccessToken
    return user


async def get_current_active_user(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Return the current user, or answer 400 when the account is switched off."""
    if not user.is_active:
        raise InactiveUser
    return user


CurrentUser = Annotated[User, Depends(get_current_active_user)]
