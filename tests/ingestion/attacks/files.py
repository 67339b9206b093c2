"""Names, links, kinds and numbers of files."""

import os
import socket

from tests.ingestion.attacks import attack


@attack(rule="link", says="a symbolic link")
def a_link_out_of_the_folder(folder):
    (folder / "extra.json").symlink_to("/etc/passwd")


@attack(rule="link", says="a symbolic link")
def a_linked_subfolder(folder):
    (folder / "more").symlink_to("/etc", target_is_directory=True)


@attack(rule="link", says="a symbolic link")
def a_link_instead_of_the_folder(folder):
    link = folder.with_name("link")
    link.symlink_to(folder, target_is_directory=True)
    return link


@attack(rule="link", says="a symbolic link")
def a_loop_of_links(folder):
    (folder / "a.json").symlink_to("b.json")
    (folder / "b.json").symlink_to("a.json")


@attack(rule="link", says="a hard link: it has another name")
def a_hard_link(folder):
    os.link(folder / "model.safetensors", folder.with_name("kept-for-later"))


@attack(rule="special-file", says="a named pipe")
def a_pipe_that_no_one_writes_to(folder):
    os.mkfifo(folder / "special_tokens_map.json")


@attack(rule="special-file", says="a socket")
def a_socket(folder):
    inside = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{inside}/extra.json")  # a socket's path may have 107 bytes
    os.close(inside)


@attack(rule="special-file", says="setuid")
def a_setuid_bit(folder):
    (folder / "config.json").chmod(0o4755)


@attack(rule="count", says="more than 2000 files")
def fifty_thousand_files(folder):
    (folder / "many").mkdir()
    inside = os.open(folder / "many", os.O_RDONLY)
    for number in range(50_000):
        os.mknod(f"{number}.json", dir_fd=inside)
    os.close(inside)


@attack(rule="count", says="more than 2000 folders")
def many_empty_folders(folder):
    for number in range(2_001):
        (folder / f"folder{number}").mkdir()


@attack(rule="path", says="more than 16 folders deep")
def a_deep_folder(folder):
    deep = folder.joinpath(*["more"] * 20)
    deep.mkdir(parents=True)
    (deep / "extra.json").write_text("{}")


@attack(rule="path", says="the gate's own")
def a_provenance_of_its_own(folder):
    (folder / "Provenance").mkdir()
    (folder / "Provenance" / "extra.json").write_text("{}")


@attack(rule="path", says="a backslash in its name")
def a_path_of_another_system(folder):
    (folder / "..\\..\\evil.json").write_text("{}")


@attack(rule="name", says="reverse the text's direction")
def a_name_that_reads_backwards(folder):
    (folder / "extra\u202enosj.json").write_text("{}")


@attack(rule="name", says="invisible or control characters")
def a_name_with_a_character_of_no_width(folder):
    (folder / "config\u200b.json").write_text("{}")


@attack(rule="name", says="control characters")
def a_name_of_two_lines(folder):
    (folder / "config.json\n0000  other.json").write_text("{}")


@attack(rule="name", says="normal form")
def a_name_in_full_width_letters(folder):
    (folder / "\uff45xtra.json").write_text("{}")


@attack(rule="name", says="letters that look like them")
def a_name_with_a_cyrillic_letter(folder):
    (folder / "tokeniz\u0435r.json").write_text("{}")


@attack(rule="name", says="not UTF-8")
def a_name_that_is_no_text(folder):
    with open(os.fsencode(folder) + b"/extra\xff.json", "w") as file:
        file.write("{}")


@attack(rule="name", says="begins with '-'")
def a_name_that_is_an_option(folder):
    (folder / "--trust-remote-code.json").write_text("{}")


@attack(rule="name", says="a blank at an end")
def a_name_with_a_blank_at_its_end(folder):
    (folder / "config.json ").write_text("{}")


@attack(rule="name", says="begins with a dot")
def a_hidden_file(folder):
    (folder / ".config.json").write_text("{}")


@attack(rule="name", says=r"same name as Config\.json")
def names_that_differ_in_case(folder):
    (folder / "Config.json").write_text("{}")


@attack(rule="name", says="same name as")
def names_that_differ_in_normal_form(folder):
    (folder / "caf\u00e9.json").write_text("{}")
    (folder / "cafe\u0301.json").write_text("{}")


@attack(rule="file-type", says="is code")
def python_beside_the_weights(folder):
    (folder / "modeling_tiny.py").write_text("import os\n")


@attack(rule="file-type", says="may hold a pickle")
def pytorch_weights(folder):
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04")


@attack(rule="file-type", says="is a program or library")
def a_shared_library(folder):
    (folder / "kernels.so").write_bytes(b"\x7fELF" + bytes(100))


@attack(rule="file-type", says="of a kind that may not come in")
def weights_with_a_suffix_in_capitals(folder):
    (folder / "model.safetensors").rename(folder / "model.SAFETENSORS")


@attack(rule="size", says="is empty")
def an_empty_file(folder):
    (folder / "special_tokens_map.json").touch()


@attack(rule="size", says="more than the 50 GiB")
def a_file_of_sixty_gibibytes(folder):
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(60 << 30)  # sparse: no disk is used


@attack(rule="size", says="more than the 64 MiB")
def a_text_without_end(folder):
    with (folder / "NOTICE.txt").open("wb") as file:
        file.truncate(65 << 20)
