"""What checks send and store: a person, a thing, a password, keys, the largest id."""

PASSWORD = "Correct horse"
ADA = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
PEN = {"title": "Pen", "price": "1.50"}
HASH = "$2b$12$KIXQabcdefghijklmnopqrstuv"
KEY = "q7Rz-Lk2mPw9-Xc4vTb6-Hn8sYd3-Jf5gUe1-Za0"
MAX_ID = 2**31 - 1
MEMORY = "sqlite+aiosqlite://"
