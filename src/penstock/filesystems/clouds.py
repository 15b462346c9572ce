"""Object stores and shares by the names and fields that programs give them.

Each is a `RemoteFileSystem` with the credentials that its fields hold.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import PrivateAttr, SecretStr, field_validator

from penstock.blocks.fields import SecretDict
from penstock.filesystems.base import WritableFileSystem
from penstock.filesystems.remote import RemoteFileSystem


class _Place(WritableFileSystem):
    """The base: where it is, and the options of fsspec's file system, are said by subclasses."""

    _remote: RemoteFileSystem | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def basepath(self) -> str:
        """The URL of the folder."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Give the options that fsspec's file system takes; those that are none are left out."""

    @property
    def filesystem(self) -> RemoteFileSystem:
        """The file system that reads and writes for this one, made at the first use."""
        if self._remote is None:
            options = {name: _in_the_clear(value) for name, value in self._options().items()}
            given = {name: value for name, value in options.items() if value is not None}
            self._remote = RemoteFileSystem(basepath=self.basepath, settings=SecretDict(given))
        return self._remote

    def storage_descriptor(self) -> dict[str, str]:
        """Say how a result's record names it: by its URL, or as a block where it has options."""
        if self.block_document_name is None and not self.filesystem.settings.get_secret_value():
            return self.filesystem.storage_descriptor()
        return super().storage_descriptor()

    def read_path(self, path: str) -> bytes:
        """Give the content of a file; see `RemoteFileSystem.read_path`."""
        return self.filesystem.read_path(path)

    def write_path(self, path: str, content: bytes) -> str:
        """Write a file; see `RemoteFileSystem.write_path`."""
        return self.filesystem.write_path(path, content)

    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> int:
        """Copy a folder to this machine; see `RemoteFileSystem.get_directory`."""
        return self.filesystem.get_directory(from_path, local_path)

    def put_directory(self, local_path: str | None = None, to_path: str | None = None) -> int:
        """Copy a folder of this machine to it; see `RemoteFileSystem.put_directory`."""
        return self.filesystem.put_directory(local_path, to_path)


class _Bucket(_Place):
    """The base of object stores."""

    _scheme: ClassVar[str]

    bucket_path: str

    @field_validator("bucket_path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        return _checked(value, f"{cls.__name__}(bucket_path='bucket/results')")

    @property
    def basepath(self) -> str:
        """The URL of the folder."""
        return f"{self._scheme}://{self.bucket_path}"


class S3(_Bucket):
    """A folder of an S3 bucket. Needs the package s3fs.

    Parameters:
        bucket_path: the bucket, and the folder in it: `bucket/results`.
        aws_access_key_id: without it, s3fs looks where the tools of AWS do.
        aws_secret_access_key: belongs to it.

    Example:
        >>> S3(bucket_path="bucket/results").basepath
        's3://bucket/results'
    """

    _block_type_slug: ClassVar[str | None] = "s3"
    _scheme: ClassVar[str] = "s3"

    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None

    def _options(self) -> dict[str, Any]:
        return {"key": self.aws_access_key_id, "secret": self.aws_secret_access_key}


class GCS(_Bucket):
    """A folder of a Google Cloud Storage bucket. Needs the package gcsfs.

    Parameters:
        bucket_path: the bucket, and the folder in it: `bucket/results`.
        service_account_info: the JSON text of a service account's key; without it, gcsfs looks
            where the tools of Google do.
        project: the project that is billed.

    Example:
        >>> GCS(bucket_path="bucket/results").basepath
        'gcs://bucket/results'
    """

    _block_type_slug: ClassVar[str | None] = "gcs"
    _scheme: ClassVar[str] = "gcs"

    service_account_info: SecretStr | None = None
    project: str | None = None

    @field_validator("service_account_info")
    @classmethod
    def _check_json(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                json.loads(value.get_secret_value())
            except ValueError:
                raise ValueError(
                    "It is not JSON: give the content of the key's file, not its name."
                ) from None  # the text is a secret
        return value

    def _options(self) -> dict[str, Any]:
        info = self.service_account_info
        token = None if info is None else json.loads(info.get_secret_value())
        return {"token": token, "project": self.project}


class Azure(_Bucket):
    """A folder of a container of Azure Blob Storage. Needs the package adlfs.

    Parameters:
        bucket_path: the container, and the folder in it: `container/results`; the folder alone
            where the container is given by itself.
        azure_storage_container: the container.
        azure_storage_connection_string: how to reach the account; or the fields that follow.
        azure_storage_account_name: the account.
        azure_storage_account_key: its key.
        azure_storage_tenant_id, azure_storage_client_id, azure_storage_client_secret: of a service
            principal that may use it.
        azure_storage_anon: whether to go without credentials where none are given; False looks
            for those of the environment.

    Example:
        >>> Azure(bucket_path="results", azure_storage_container="container").basepath
        'az://container/results'
    """

    _block_type_slug: ClassVar[str | None] = "azure"
    _scheme: ClassVar[str] = "az"

    azure_storage_connection_string: SecretStr | None = None
    azure_storage_account_name: SecretStr | None = None
    azure_storage_account_key: SecretStr | None = None
    azure_storage_tenant_id: SecretStr | None = None
    azure_storage_client_id: SecretStr | None = None
    azure_storage_client_secret: SecretStr | None = None
    azure_storage_anon: bool = True
    azure_storage_container: SecretStr | None = None

    @property
    def basepath(self) -> str:
        """The URL of the folder."""
        container = _in_the_clear(self.azure_storage_container)
        return f"az://{container}/{self.bucket_path}" if container else super().basepath

    def _options(self) -> dict[str, Any]:
        return {
            "connection_string": self.azure_storage_connection_string,
            "account_name": self.azure_storage_account_name,
            "account_key": self.azure_storage_account_key,
            "tenant_id": self.azure_storage_tenant_id,
            "client_id": self.azure_storage_client_id,
            "client_secret": self.azure_storage_client_secret,
            "anon": self.azure_storage_anon,
        }


class SMB(_Place):
    """A folder of a Windows share. Needs the package smbprotocol.

    Parameters:
        share_path: the share, and the folder in it: `SHARE/results`.
        smb_host: the server.
        smb_username, smb_password: who may use it.
        smb_port: where the server listens; 445 if none is given.

    Example:
        >>> SMB(share_path="/SHARE/results", smb_host="server").basepath
        'smb://server/SHARE/results'
    """

    _block_type_slug: ClassVar[str | None] = "smb"

    share_path: str
    smb_username: SecretStr | None = None
    smb_password: SecretStr | None = None
    smb_host: str
    smb_port: int | None = None

    @field_validator("share_path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        return _checked(value, "SMB(share_path='SHARE/results', smb_host='server')")

    @property
    def basepath(self) -> str:
        """The URL of the folder."""
        port = "" if self.smb_port is None else f":{self.smb_port}"
        return f"smb://{self.smb_host.strip('/')}{port}/{self.share_path}"

    def _options(self) -> dict[str, Any]:
        return {"username": self.smb_username, "password": self.smb_password}


def _checked(path: str, example: str) -> str:
    stripped = path.strip("/")
    if "://" in path or not stripped:
        raise ValueError(f"{path!r} is no path: give one without a scheme, as in {example}.")
    return stripped


def _in_the_clear(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
