"""The app and its neighbours on one machine: a proxy with HTTPS, PostgreSQL, Redis."""

COMPOSE = """\
services:
  proxy:
    image: caddy:2.10
    restart: unless-stopped
    ports: ["80:80", "443:443"]
    environment:
      DOMAIN: ${DOMAIN:?}
    volumes:
      - ./Caddyfile:/etc/caddy/Caddyfile:ro
      - certificates:/data
    networks:
      front:
        ipv4_address: 172.30.0.2
    depends_on:
      app: {condition: service_healthy}

  migrate: &app
    build: .
    command: ["python", "-m", "app.db.migrate", "upgrade"]
    env_file: .env
    environment:
      STAGE: production
      DATABASE_URL: postgresql://shop:${DATABASE_PASSWORD:?}@database/shop
      REDIS_URL: redis://redis:6379/0
      MAIL_RESET_URL: https://${DOMAIN:?}/password-reset
      TRUSTED_PROXIES: 172.30.0.2
    networks: [front, inside]
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    depends_on:
      database: {condition: service_healthy}

  app:
    <<: *app
    command: ["python", "-m", "app.serve", "--host", "0.0.0.0"]
    restart: unless-stopped
    stop_grace_period: 40s
    depends_on:
      migrate: {condition: service_completed_successfully}
      redis: {condition: service_started}

  database:
    image: postgres:18.1
    restart: unless-stopped
    environment:
      POSTGRES_USER: shop
      POSTGRES_DB: shop
      POSTGRES_PASSWORD: ${DATABASE_PASSWORD:?}
    volumes:
      - database:/var/lib/postgresql
    networks: [inside]
    healthcheck:
      test: ["CMD", "pg_isready", "--username", "shop"]
      interval: 2s
      retries: 30

  redis:
    image: redis:8.2
    restart: unless-stopped
    command:
      ["redis-server", "--save", "", "--maxmemory", "128mb", "--maxmemory-policy", "volatile-ttl"]
    networks: [inside]

networks:
  front:
    ipam:
      config: [{subnet: 172.30.0.0/24}]
  inside:
    internal: true

volumes:
  certificates:
  database:
"""

CADDYFILE = """\
{$DOMAIN} {
	@inside path /metrics /health /health/ready
	respond @inside 404
	reverse_proxy app:8000 {
		health_uri /health/ready
		health_interval 2s
	}
}
"""
